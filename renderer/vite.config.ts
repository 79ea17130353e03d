import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// The built files are served by `moebius serve` and by Electron's own protocol: relative addresses, nothing inlined as a script.
export default defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [react()],
  // rehype-katex brings an older KaTeX of its own, whose class names the style sheet of ours doesn't have.
  resolve: { dedupe: ['katex'] },
  build: {
    outDir: '../dist/renderer',
    emptyOutDir: true,
    target: 'chrome130',
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
  },
});
