// The GPUs that hold copies of experts: how much of each, who computes what, and how even that is.
import { useState } from 'react';
import type { ExpertDevices } from '../../../main/contract/index.ts';
import { Badge, type Column, Field, Figures, format, Section, Slider, Switch, Table } from '../../components/index.ts';
import type { DeviceRates } from './device-rates.ts';
import { MakespanBars } from './makespan-bars.tsx';
import style from './placement.module.css';
import { ReplicaPrecisionSwitch } from './replica-precision.tsx';
import type { Placement } from './use-placement.ts';

/** of a slider, from no copy to all */
const STEPS = 200;

export function DeviceSection({ devices, rates, configure }: { devices: ExpertDevices; rates: DeviceRates; configure: Placement['configure'] }) {
  const percent = (value: number | undefined) => (value === undefined ? '–' : format.percent(value));
  return (
    <Section
      title="Devices"
      hint="GPUs that hold copies of experts and compute with them. A busy expert has copies on several; what no GPU has the CPU computes."
    >
      <Figures
        figures={[
          {
            label: 'device balance, now',
            value: rates.balance === null ? '–' : rates.balance.toFixed(2),
            title: 'the busiest device’s time over their mean; 1 is even',
          },
          { label: 'computed by the CPU', value: percent(rates.shares.at(-1)), title: `${devices.cpuTokens} tokens of experts in all` },
          { label: 'copies on their way', value: format.count(devices.moving), title: devices.error ?? 'experts that are being copied to a device' },
        ]}
      />
      <div className={style.budgets}>
        {devices.devices.map((device) => (
          <Budget key={device.id} device={device} most={devices.bytesMost} configure={configure} />
        ))}
      </div>
      <div className={style.switches}>
        <Field layout="row" label="Copies follow the load" hint="Every few tokens, busy experts get more copies and idle ones fewer.">
          {(control) => (
            <Switch
              {...control}
              checked={devices.replication}
              onChange={(replication) => void configure({ replication }, replication ? 'copies follow' : 'copies stay')}
            />
          )}
        </Field>
        <Field layout="row" label="The CPU helps" hint="It takes experts over from a device that would end later than it.">
          {(control) => (
            <Switch
              {...control}
              checked={devices.cpuHelps}
              onChange={(cpuHelps) => void configure({ cpuHelps }, cpuHelps ? 'CPU helps' : 'CPU does not help')}
            />
          )}
        </Field>
        <Field
          layout="row"
          label="Devices fetch experts"
          hint="For a long prompt a device copies experts that it lacks from RAM, each for one batch, where the CPU would take longer."
        >
          {(control) => (
            <Switch
              {...control}
              checked={devices.fetching}
              onChange={(fetching) => void configure({ fetching }, fetching ? 'devices fetch' : 'devices do not fetch')}
            />
          )}
        </Field>
        <ReplicaPrecisionSwitch devices={devices} configure={configure} />
      </div>
      <Table
        caption="Devices with experts"
        columns={columns}
        rows={devices.devices.map((device, i) => toRow(devices, rates, device, i))}
        rowKey={({ device }) => device.id}
      />
      <MakespanBars names={[...devices.devices.map(({ id }) => id), 'CPU']} layers={devices.layers.map(({ layer }) => layer)} rates={rates} />
    </Section>
  );
}

type Device = ExpertDevices['devices'][number];

function Budget({ device, most, configure }: { device: Device; most: number; configure: Placement['configure'] }) {
  const [draft, setDraft] = useState<number | null>(null);
  const bytesAt = (step: number) => Math.round((most * step) / STEPS);
  const text = `${format.bytes(draft === null ? device.bytes : bytesAt(draft))} of ${format.bytes(most)}`;
  const commit = async (step: number) => {
    const bytes = bytesAt(step);
    await configure({ devices: [{ id: device.id, bytes }] }, `${format.bytes(bytes)} on ${device.id}`);
    setDraft(null);
  };
  return (
    <Field label={`Experts on ${device.id}`} trailing={text}>
      {(control) => (
        <Slider
          aria-label={`Experts on ${device.id}`}
          aria-describedby={control['aria-describedby']}
          aria-valuetext={text}
          value={Math.round((device.bytes / Math.max(1, most)) * STEPS)}
          min={0}
          max={STEPS}
          step={1}
          disabled={device.lost}
          onInput={setDraft}
          onCommit={(step) => void commit(step)}
        />
      )}
    </Field>
  );
}

interface Row {
  device: Device;
  slots: number;
  share: number | undefined;
  linkRate: number | undefined;
}

const toRow = (devices: ExpertDevices, rates: DeviceRates, device: Device, i: number): Row => ({
  device,
  slots: devices.layers.reduce((sum, layer) => sum + (layer.slots[i] ?? 0), 0),
  share: rates.shares[i],
  linkRate: rates.linkRates[i],
});

const columns: Column<Row>[] = [
  {
    id: 'device',
    header: 'Device',
    cell: ({ device }) => (
      <>
        {device.id} {device.lost && <Badge tone="bad">lost</Badge>}
      </>
    ),
    sort: ({ device }) => device.id,
  },
  { id: 'slots', header: 'Slots', cell: ({ slots }) => slots, sort: ({ slots }) => slots, align: 'right' },
  {
    id: 'share',
    header: 'Computes',
    cell: ({ share }) => (share === undefined ? '–' : format.percent(share)),
    sort: ({ share }) => share ?? 0,
    align: 'right',
  },
  {
    id: 'low',
    header: 'In low precision',
    cell: ({ device }) => (device.lowTokens > 0 ? <span title={`${device.lowTokens} tokens of experts`}>{format.count(device.lowTokens)}</span> : '–'),
    sort: ({ device }) => device.lowTokens,
    align: 'right',
  },
  {
    id: 'copied',
    header: 'Copies made',
    cell: ({ device }) => <span title={`${device.bytesCopied} bytes`}>{format.count(device.copied)}</span>,
    sort: ({ device }) => device.copied,
    align: 'right',
  },
  {
    id: 'fetched',
    header: 'Fetched',
    cell: ({ device }) => <span title={`${device.bytesFetched} bytes, each expert for one batch`}>{format.count(device.fetched)}</span>,
    sort: ({ device }) => device.fetched,
    align: 'right',
  },
  {
    id: 'link',
    header: 'Copying',
    cell: ({ device, linkRate }) => (
      <span title={`a token’s hidden state takes ${device.rowMilliseconds.toPrecision(2)} ms there and back`}>
        {linkRate === undefined ? '–' : `${format.bytes(linkRate)}/s`}
      </span>
    ),
    sort: ({ linkRate }) => linkRate ?? 0,
    align: 'right',
  },
  {
    id: 'cost',
    header: 'An expert, a token',
    cell: ({ device: { cost } }) => (
      <span title={`${cost.fixed} ms a batch, ${cost.perExpert} ms an expert, ${cost.perToken} ms a token`}>{milliseconds(cost)}</span>
    ),
    sort: ({ device: { cost } }) => cost.fixed + cost.perExpert + cost.perToken,
    align: 'right',
  },
];

const milliseconds = ({ fixed, perExpert, perToken }: Device['cost']) => `${(fixed + perExpert + perToken).toPrecision(3)} ms`;
