import './core/setup.ts';
import './styles/tokens.css';
import './styles/base.css';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { connectCore } from './core/connect.ts';
import { App } from './shell/app.tsx';
import { createStores, StoresProvider } from './stores/index.tsx';
import { startTheme } from './stores/theme.ts';

startTheme();
const root = document.getElementById('root');
if (!root) throw new Error('index.html has no #root');

const client = connectCore(() => stores.app.getState().setConnection('refused'));
const stores = createStores(client);
createRoot(root).render(
  <StrictMode>
    <StoresProvider stores={stores}>
      <App />
    </StoresProvider>
  </StrictMode>,
);
