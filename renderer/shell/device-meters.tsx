import { useEffect } from 'react';
import type { Device } from '../../main/contract/index.ts';
import { format, Meter, Tooltip } from '../components/index.ts';
import { useApp, useModels, useStores } from '../stores/index.tsx';
import { isLoaded } from '../stores/models.ts';
import style from './device-meters.module.css';
import { address } from './navigation.ts';

const REFRESH_MS = 5000;

/** Memory in use per device: RAM for the CPU, its own memory for a GPU. */
export function DeviceMeters() {
  const { app } = useStores();
  const devices = useApp((state) => state.devices);
  const ready = useApp((state) => state.engine?.state === 'ready' && state.connection === 'connected');
  const loadedCount = useModels((state) => (state.models ?? []).filter(isLoaded).length);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a model that comes or goes changes the figures
  useEffect(() => {
    if (!ready) return;
    const fetch = () => document.visibilityState === 'visible' && void app.getState().fetchDevices();
    fetch();
    const timer = setInterval(fetch, REFRESH_MS);
    return () => clearInterval(timer);
  }, [app, ready, loadedCount]);
  return (
    <ul className={style.meters} aria-label="Memory of the devices">
      {devices.map((device) => (
        <DeviceMeter key={device.id} device={device} />
      ))}
    </ul>
  );
}

function DeviceMeter({ device }: { device: Device }) {
  const used = Math.max(0, device.memoryTotal - device.memoryFree);
  const name = device.kind === 'cpu' ? 'RAM' : device.id;
  const figures = `${format.bytes(used)} of ${format.bytes(device.memoryTotal)}`;
  const fraction = device.memoryTotal > 0 ? used / device.memoryTotal : 0;
  return (
    <li>
      <Tooltip content={`${device.description}: ${figures} used, ${format.bytes(device.memoryFree)} free`} side="bottom">
        <a className={style.meter} href={address('settings', ['devices'])}>
          <span>{name}</span>
          <span className="visually-hidden">{figures} used,</span>
          <span aria-hidden>
            <Meter label={name} fraction={fraction} text={figures} warnAt={0.92} size="small" className={style.track} />
          </span>
          <span className={style.figure}>{format.percent(Math.round(fraction * 100) / 100)}</span>
        </a>
      </Tooltip>
    </li>
  );
}
