import { useEffect } from 'react';
import { Notice, PageFrame, Section } from '../../components/index.ts';
import { address, useLocation } from '../../shell/navigation.ts';
import { useSettings } from '../../stores/index.tsx';
import { ApiSettings } from './api-settings.tsx';
import { AppearanceSettings } from './appearance-settings.tsx';
import { DataSettings } from './data-settings.tsx';
import { DeviceSettings } from './device-settings.tsx';
import { EnginePanel } from './engine-panel.tsx';
import { FolderSettings } from './folder-settings.tsx';
import { LoadDefaults } from './load-defaults.tsx';
import style from './settings.module.css';

const sections = [
  { id: 'appearance', title: 'Appearance', content: AppearanceSettings },
  { id: 'models', title: 'Models', content: FolderSettings },
  { id: 'devices', title: 'Devices', content: DeviceSettings },
  { id: 'loading', title: 'Load defaults', content: LoadDefaults, hint: 'For every model that has no options of its own. Empty: the engine chooses.' },
  { id: 'api', title: 'Endpoint', content: ApiSettings, hint: 'An OpenAI-compatible server for other programs on this machine.' },
  { id: 'engine', title: 'Engine', content: EnginePanel },
  { id: 'data', title: 'Data', content: DataSettings },
] as const;

export default function SettingsPage() {
  const known = useSettings((state) => state.settings !== null);
  const { parts } = useLocation();
  const shown = parts[0];
  useEffect(() => {
    if (known && shown) document.getElementById(`settings-${shown}`)?.scrollIntoView({ block: 'start' });
  }, [known, shown]);
  return (
    <div className={style.page}>
      <nav className={style.index} aria-label="Settings">
        {sections.map((section) => (
          <a key={section.id} href={address('settings', [section.id])} aria-current={shown === section.id ? 'true' : undefined}>
            {section.title}
          </a>
        ))}
      </nav>
      <PageFrame title="Settings" hint="Changes are stored at once.">
        {known ? (
          sections.map((section) => (
            <Section key={section.id} id={`settings-${section.id}`} title={section.title} hint={'hint' in section ? section.hint : undefined}>
              <div className={style.fields}>
                <section.content />
              </div>
            </Section>
          ))
        ) : (
          <Notice title="Waiting for the application core">The settings are shown when it answers.</Notice>
        )}
      </PageFrame>
    </div>
  );
}
