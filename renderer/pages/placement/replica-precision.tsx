// Replicate-and-Quantize: unimportant experts in fewer bits on GPUs, and the bytes for more copies of busy ones. It changes answers, and says so.
import type { ExpertDevices } from '../../../main/contract/index.ts';
import { Badge, Field, format, Switch } from '../../components/index.ts';
import type { Placement } from './use-placement.ts';

const CHOICE = { type: 'q4_0', share: 0.25 } as const;

export function ReplicaPrecisionSwitch({ devices, configure }: { devices: ExpertDevices; configure: Placement['configure'] }) {
  const { replicaPrecision: now, layers } = devices;
  return (
    <Field layout="row" label="Fewer bits for unimportant experts" hint={now ? stateText(devices) : offText}>
      {(control) => (
        <>
          {now !== null && <Badge tone="warn">changes answers</Badge>}
          <Switch
            {...control}
            checked={now !== null}
            disabled={layers.length === 0}
            onChange={(on) =>
              void configure({ replicaPrecision: on ? CHOICE : { ...CHOICE, share: 0 } }, on ? 'fewer bits for some experts' : 'all experts in full precision')
            }
          />
        </>
      )}
    </Field>
  );
}

const offText = `Changes answers. GPUs hold up to ${format.percent(CHOICE.share)} of the experts, those that count least, in ${CHOICE.type}, and more copies of busy ones; after some hundred tokens, where it helps.`;

function stateText({ replicaPrecision, devices, layers }: ExpertDevices): string {
  const calibrated = replicaPrecision?.calibratedLayers ?? 0;
  const tokens = devices.reduce((sum, { lowTokens }) => sum + lowTokens, 0);
  return `Looked at ${calibrated} of ${layers.length} layers. ${format.count(tokens)} times a token was computed by an expert in ${replicaPrecision?.type}, at most ${format.percent(replicaPrecision?.share ?? 0)} of a layer’s experts.`;
}
