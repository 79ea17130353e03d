// Which devices compute the routed experts, and how much room each has for them.
import type { Device, Inspection, Recipe } from '../../../../main/contract/index.ts';
import { Checkbox, format, NumberInput } from '../../../components/index.ts';
import { useApp } from '../../../stores/index.tsx';
import { usualSlots } from './draft-errors.ts';
import { Figure } from './figure.tsx';
import style from './recipe.module.css';
import { useRunDraft } from './run-draft.ts';

type Room = NonNullable<NonNullable<Recipe['devices']>['experts']>[number];

const GIB = 2 ** 30;
/** that a run can use (native/experts/policy/token-split.h) */
const MOST = 8;

export function DeviceFields({ inspection, error }: { inspection: Inspection | null; error: string | undefined }) {
  const all = useApp((state) => state.devices);
  const devices = all.filter(({ kind }) => kind !== 'accel');
  const chosen = useRunDraft((state) => state.draft.plan.devices?.experts) ?? [];
  const hasExperts = inspection === null || inspection.moeLayers.length > 0;
  if (!hasExperts && chosen.length === 0) return <p className={style.reason}>This model has no experts: the CPU computes all of it.</p>;
  const gone = chosen.filter(({ device }) => devices.every(({ id }) => id !== device)).map(({ device }) => device);
  const rows = [...devices.map((device) => ({ id: device.id, text: deviceText(device) })), ...gone.map((id) => ({ id, text: 'not there now' }))];
  const change = (id: string, room: Room | undefined) => {
    const next = rows.flatMap((row) => (row.id === id ? (room ?? []) : (chosen.find(({ device }) => device === row.id) ?? [])));
    changeDevices({ experts: next.length > 0 ? next : undefined });
  };
  return (
    <div className={style.devices}>
      <p className={style.reason}>
        Without a tick the CPU computes all experts. Several devices share them: copies follow the load. Layers that don’t fit into the memory given here are
        read when their turn comes.
      </p>
      <div className={style.scroll}>
        <table className={style.adapters}>
          <caption className="visually-hidden">Devices for experts</caption>
          <thead>
            <tr>
              <th scope="col">Experts on</th>
              <th scope="col">Slots of a layer</th>
              <th scope="col">Memory, GiB</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(({ id, text }) => (
              <DeviceRow
                key={id}
                id={id}
                text={text}
                room={chosen.find(({ device }) => device === id)}
                slots={inspection ? usualSlots(inspection.expertCount, chosen.length) : null}
                full={chosen.length >= MOST}
                onChange={(room) => change(id, room)}
              />
            ))}
          </tbody>
        </table>
      </div>
      {error && (
        <p className={style.error} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

const deviceText = ({ description, kind, memoryFree }: Device) =>
  `${description} · ${kind === 'cpu' ? 'memory of the system' : `${format.bytes(memoryFree)} free`}`;

function changeDevices(change: Partial<NonNullable<Recipe['devices']>>): void {
  const { draft, changePlan } = useRunDraft.getState();
  const devices = { ...draft.plan.devices, ...change };
  changePlan({ devices: Object.values(devices).some((value) => value !== undefined) ? devices : undefined });
}

/** How much of them is kept between forward and backward pass. */
export function ActivationFields() {
  const bytes = useRunDraft((state) => state.draft.plan.devices?.activationBytes);
  return (
    <Figure
      label="Activations kept, GiB"
      hint="others are computed again, which is slower and gives the same; 0: all of them"
      min={0}
      max={1e6}
      usual="half of free RAM"
      value={bytes === undefined ? undefined : Number((bytes / GIB).toPrecision(6))}
      onCommit={(value) => changeDevices({ activationBytes: value === undefined ? undefined : Math.round(value * GIB) })}
    />
  );
}

interface DeviceRowProps {
  id: string;
  text: string;
  /** undefined: not used */
  room: Room | undefined;
  /** where nothing is said; null: not known */
  slots: number | null;
  /** no further device can be used */
  full: boolean;
  onChange: (room: Room | undefined) => void;
}

function DeviceRow({ id, text, room, slots, full, onChange }: DeviceRowProps) {
  return (
    <tr>
      <th scope="row">
        <Checkbox label={id} hint={text} checked={room !== undefined} disabled={full && !room} onChange={(on) => onChange(on ? { device: id } : undefined)} />
      </th>
      <td>
        <NumberInput
          aria-label={`Slots of ${id}`}
          integer
          min={1}
          max={65_536}
          disabled={!room}
          placeholder={room && slots !== null ? String(slots) : ''}
          value={room?.slots}
          onCommit={(value) => room && onChange({ ...room, slots: value })}
        />
      </td>
      <td>
        <NumberInput
          aria-label={`Memory of ${id} for experts, GiB`}
          min={1e-6}
          max={1e6}
          disabled={!room}
          placeholder={room ? 'all' : ''}
          value={room?.bytes === undefined ? undefined : Number((room.bytes / GIB).toPrecision(6))}
          onCommit={(value) => room && onChange({ ...room, bytes: value === undefined ? undefined : Math.max(1, Math.round(value * GIB)) })}
        />
      </td>
    </tr>
  );
}
