// How long each device was busy in every layer, against the time that the layer took: the longest bar is what the others wait for.
import { format, Meter } from '../../components/index.ts';
import type { DeviceRates } from './device-rates.ts';
import style from './placement.module.css';

export interface MakespanBarsProps {
  /** of the devices, the CPU last */
  names: readonly string[];
  /** block indices */
  layers: readonly number[];
  rates: DeviceRates;
}

const colours = ['var(--series-1)', 'var(--series-2)', 'var(--series-3)', 'var(--series-4)'];
const colourOf = (i: number, count: number) => (i === count - 1 ? 'var(--text-3)' : (colours[i % colours.length] ?? 'var(--accent)'));

export function MakespanBars({ names, layers, rates }: MakespanBarsProps) {
  const longest = Math.max(...rates.layers.map(({ total }) => total), 0);
  return (
    <figure className={style.makespan}>
      <figcaption>
        Busy per layer, now
        {names.map((name, i) => (
          <span key={name} className={style.key}>
            <i style={{ background: colourOf(i, names.length) }} /> {name}
          </span>
        ))}
      </figcaption>
      {longest === 0 && <p className={style.idle}>Nothing is computed at the moment.</p>}
      {longest > 0 &&
        layers.map((layer, row) => (
          <div key={layer} className={style.layer}>
            <span>{layer}</span>
            <div>
              {names.map((name, i) => {
                const busy = rates.layers[row]?.busy[i] ?? 0;
                const text = `${format.percent(busy / Math.max(rates.layers[row]?.total ?? 0, 1e-9))} of the layer's time`;
                return (
                  <Meter
                    key={name}
                    size="small"
                    label={`Layer ${layer}, ${name}`}
                    text={text}
                    warnAt={2}
                    parts={[{ fraction: busy / longest, label: name, colour: colourOf(i, names.length) }]}
                  />
                );
              })}
            </div>
          </div>
        ))}
    </figure>
  );
}
