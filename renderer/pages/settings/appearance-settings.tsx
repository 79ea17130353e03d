import { Field, Segmented } from '../../components/index.ts';
import { useSettingValues } from './use-setting.ts';

const themes = [
  { value: 'dark', label: 'Dark' },
  { value: 'light', label: 'Light' },
  { value: 'system', label: 'As the system' },
] as const;

export function AppearanceSettings() {
  const { settings, change } = useSettingValues();
  return (
    <Field label="Theme" layout="row">
      {(control) => (
        <div id={control.id}>
          <Segmented label="Theme" value={settings.theme} options={themes} onChange={(theme) => change({ theme })} />
        </div>
      )}
    </Field>
  );
}
