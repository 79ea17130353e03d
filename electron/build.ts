// Builds dist/electron: main.js (the shell and the core), preload.cjs, and the workers that the core starts. Run by main/setup (`npm start`, `npm run build`).
// Packages stay where npm put them. Output is two folders deep, as main/<folder>/ is: paths relative to `import.meta.url` mean the same after bundling.
import { dirname, join, relative, resolve } from 'node:path';
import { build, type Plugin } from 'vite';

const root = join(import.meta.dirname, '..');
const output = join(root, 'dist/electron');

/** `new Worker(new URL('./worker.ts', import.meta.url))`: the worker becomes an entry of its own, under its name. */
function workers(): Plugin {
  const pattern = /new URL\(\s*'(\.\.?\/[^']+)\.ts'\s*,\s*import\.meta\.url\s*\)/g;
  return {
    name: 'moebius-workers',
    enforce: 'pre',
    transform(code, id) {
      const changed = code.replace(pattern, (_whole, path: string) => {
        const file = resolve(dirname(id), `${path}.ts`);
        const name = relative(join(root, 'main'), file).replace(/\.ts$/, '').replaceAll(/[\\/]/g, '-');
        this.emitFile({ type: 'chunk', id: file, fileName: `${name}.js` });
        return `new URL('./${name}.js', import.meta.url)`;
      });
      return changed === code ? null : { code: changed, map: null };
    },
  };
}

/** A module at another depth would look for its files in the wrong place: that is an error here, not at run time. */
function sameDepth(): Plugin {
  return {
    name: 'moebius-same-depth',
    enforce: 'pre',
    transform(code, id) {
      const path = relative(root, id);
      const depth = path.split(/[\\/]/).length - 1;
      if (id.startsWith(root) && !path.startsWith('electron') && depth !== 2 && /import\.meta\.(url|dirname|filename)/.test(code)) {
        this.error(`${path} uses import.meta at depth ${depth}; bundled modules that do must be in main/<folder>/.`);
      }
      return null;
    },
  };
}

const isPackage = (id: string) => !/^[./]/.test(id) && !/^[A-Za-z]:[\\/]/.test(id) && !id.startsWith('\0');

const common = { root, configFile: false, logLevel: 'warn', publicDir: false } as const;

await build({
  ...common,
  plugins: [sameDepth(), workers()],
  ssr: { noExternal: [], target: 'node' },
  build: {
    ssr: true,
    outDir: output,
    emptyOutDir: true,
    target: 'node24',
    minify: false,
    sourcemap: true,
    rolldownOptions: {
      input: join(import.meta.dirname, 'main.ts'),
      external: isPackage,
      output: { format: 'esm', entryFileNames: '[name].js', chunkFileNames: 'chunk-[hash].js' },
    },
  },
});

// Sandboxed preload scripts are CommonJS and one file.
await build({
  ...common,
  build: {
    ssr: true,
    outDir: output,
    emptyOutDir: false,
    target: 'chrome140',
    minify: false,
    rolldownOptions: {
      input: join(import.meta.dirname, 'preload.ts'),
      external: isPackage,
      output: { format: 'cjs', entryFileNames: 'preload.cjs', codeSplitting: false },
    },
  },
});
