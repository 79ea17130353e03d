import { Checkbox, Field, format, Meter, Notice, NumberInput } from '../../components/index.ts';
import { useApp } from '../../stores/index.tsx';
import { MachineSettings } from './machine-settings.tsx';
import style from './settings.module.css';
import { useSettingValues } from './use-setting.ts';

/** Which devices models may use, and how many threads the CPU gives. */
export function DeviceSettings() {
  const { settings, change } = useSettingValues();
  const devices = useApp((state) => state.devices);
  const gpus = devices.filter((device) => device.kind !== 'cpu');
  // those of other machines are used only when they are ticked
  const local = gpus.filter((device) => device.default).map((device) => device.id);
  const chosen = settings.devices ?? local;
  const toggle = (id: string, on: boolean) => {
    const next = gpus.map((device) => device.id).filter((other) => (other === id ? on : chosen.includes(other)));
    change({ devices: next.join() === local.join() ? null : next });
  };
  return (
    <>
      <ul className={style.devices} aria-label="Devices">
        {devices.map((device) => {
          const used = Math.max(0, device.memoryTotal - device.memoryFree);
          const text = `${format.bytes(used)} of ${format.bytes(device.memoryTotal)} used`;
          const cpu = device.kind === 'cpu';
          return (
            <li key={device.id}>
              <Checkbox
                label={cpu ? 'CPU' : device.id}
                hint={`${device.description} · ${device.backend}${cpu ? ' · always there' : ''}`}
                checked={cpu || chosen.includes(device.id)}
                disabled={cpu}
                onChange={(on) => toggle(device.id, on)}
              />
              <div className={style.memory}>
                <Meter label={`Memory of ${device.id}`} fraction={device.memoryTotal > 0 ? used / device.memoryTotal : 0} text={text} warnAt={0.92} />
                <span>{text}</span>
              </div>
            </li>
          );
        })}
      </ul>
      {devices.length === 0 && <Notice title="The engine has not named its devices yet">They are listed when it runs.</Notice>}
      {devices.length > 0 && local.length === 0 && (
        <Notice title="No GPU was found">
          Models run on the CPU. A GPU appears here when its driver (CUDA, Vulkan or Metal) is installed and the engine is restarted.
        </Notice>
      )}
      <MachineSettings />
      <Field label="Threads" hint="For the CPU’s part of the work. Empty: as many as there are physical cores." layout="row">
        {(control) => (
          <NumberInput
            {...control}
            className={style.short}
            value={settings.threads === 0 ? undefined : settings.threads}
            placeholder="automatic"
            min={0}
            max={512}
            integer
            onCommit={(threads) => change({ threads: threads ?? 0 })}
          />
        )}
      </Field>
    </>
  );
}
