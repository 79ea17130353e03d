// Replication of hot experts on 2, 4 and 8 devices, on recorded and synthetic drifting load, against static placement and EPLB; without spare slots, too; and what is sent over slow
// links where half of the devices are on another machine. Nothing is timed: the figures are counts, and repeatable. The policies are those that the engine calls.
import { withEngine } from '../../main/cli/engine-session.ts';
import type { DeviceReplay, DeviceReplayParameters, DeviceReplayResult } from '../../main/contract/index.ts';
import { TraceFile } from '../../main/experts/trace-reader.ts';
import type { Benchmark, Case } from './support/benchmark.ts';
import { tracedModels } from './support/traced-models.ts';

const DEVICES = [2, 4, 8];
/** Slots of all devices, as a multiple of the experts of a layer. */
const SLOTS = 2;
/** Without a spare slot, the balance of EPLB, which packs all experts anew after every window, over ours. */
const AS_GOOD = 0.99;
/** Bandwidth of the link to a device on another machine, as a share of that to one on this. */
const FAR = 0.05;
/** Tokens per batch; placements are decided anew after `window` batches. */
const RECORDED = { batch: 256, window: 1 };
const SYNTHETIC = { batch: 512, window: 8 };
const EXPERTS = 64;
const SKEWS = [0.6, 0.8, 1];
/** Balance (max/mean) that replication must reach where a static placement is above UNEVEN. */
const EVEN = 1.05;
const UNEVEN = 1.3;

interface Load {
  name: string;
  experts: number;
  parameters: Omit<DeviceReplayParameters, 'devices'>;
}

const benchmark: Benchmark = {
  description: 'load of the busiest device and surviving tokens with replicated experts on 2, 4 and 8 devices, against static placement and EPLB',
  async run({ threads, log, command }) {
    const traced = await tracedModels(threads, log);
    return withEngine(async (engine) => {
      const recorded: Load[] = [];
      for (const { name, trace } of traced) recorded.push({ name, experts: await expertsOf(trace), parameters: { path: trace, atOnce: true, ...RECORDED } });
      const synthetic = SKEWS.map(
        (skew): Load => ({ name: `Zipf ${skew}, drifting`, experts: EXPERTS, parameters: { synthetic: { experts: EXPERTS, skew }, ...SYNTHETIC } }),
      );
      const cases: Case[] = [];
      for (const load of [...recorded, ...synthetic]) {
        for (const count of DEVICES) {
          const name = `${load.name}, ${count} devices`;
          const replay = async (
            rig: string,
            device: (index: number) => DeviceReplayParameters['devices'][number],
            policies?: DeviceReplayParameters['policies'],
          ) => {
            const parameters = { ...load.parameters, devices: Array.from({ length: count }, (_, index) => device(index)), policies };
            command(`${name}${rig}`, ['experts.replayDevices', JSON.stringify(parameters)]);
            const result = await engine.call('experts.replayDevices', parameters);
            report(result, log);
            return result;
          };
          const slots = (load.experts * SLOTS) / count;
          cases.push(...toCases(name, await replay('', () => ({ slots }))));
          cases.push(toTightCase(name, await replay(', a slot an expert', () => ({ slots: load.experts / count }), ['static', 'eplb', 'adaptive'])));
          await replay(', half of them far', (index) => ({ slots, bandwidth: index < count / 2 ? 1 : FAR }), ['adaptive-anywhere', 'adaptive']);
        }
      }
      return cases;
    });
  },
};
export default benchmark;

async function expertsOf(trace: string): Promise<number> {
  const file = new TraceFile(trace);
  for await (const _ of file) break;
  if (file.header === null) throw new Error(`${trace} is empty`);
  return file.header.expertCount;
}

function report({ policies, layers }: DeviceReplayResult, log: (text: string) => void): void {
  for (const row of policies) {
    const copies = (row.copiesMoved / Math.max(1, row.windows) / layers).toFixed(1);
    const survived = `survive ${(row.survivedOnDevices * 100).toFixed(2)}% (per copy ${(row.survivedOnCopies * 100).toFixed(2)}%)`;
    const far = row.slowRows > 0 ? `; ${(row.slowRows * 100).toFixed(2)}% of that over slow links` : '';
    log(
      `    ${row.policy.padEnd(17)} max/mean ${row.balanceMean.toFixed(3)}, worst ${row.balanceWorst.toFixed(3)}; ${survived}; ${copies} copies a layer and window; ` +
        `a token's state goes to ${row.devicesPerToken.toFixed(3)} devices, ${row.hopsPerToken.toFixed(3)} of them new${far}`,
    );
  }
}

const find = ({ policies }: DeviceReplayResult, policy: string): DeviceReplay => {
  const row = policies.find((each) => each.policy === policy);
  if (row === undefined) throw new Error(`${policy} was not replayed`);
  return row;
};

/** Without a slot to spare experts change places. EPLB does not mind how many. */
function toTightCase(name: string, result: DeviceReplayResult): Case {
  const [fixed, eplb, ours] = [find(result, 'static'), find(result, 'eplb'), find(result, 'adaptive')];
  const ratio = eplb.balanceMean / ours.balanceMean;
  return {
    case: `${name}, a slot an expert: max/mean (static ${fixed.balanceMean.toFixed(2)}) against EPLB`,
    ours: ours.balanceMean,
    baseline: eplb.balanceMean,
    unit: 'max/mean',
    ratio,
    bar: AS_GOOD,
    ok: ratio >= AS_GOOD,
  };
}

/** The balance is barred where a static placement is uneven; survivors at capacity factor 1 are compared everywhere. */
function toCases(name: string, result: DeviceReplayResult): Case[] {
  const [fixed, eplb, ours] = [find(result, 'static'), find(result, 'eplb'), find(result, 'adaptive')];
  const even = EVEN / ours.balanceMean;
  const balance = {
    case: `${name}: max/mean (static ${fixed.balanceMean.toFixed(2)}) at most ${EVEN}`,
    ours: ours.balanceMean,
    baseline: EVEN,
    unit: 'max/mean',
    ratio: even,
    bar: 1,
    ok: even >= 1,
  };
  const ratio = ours.survivedOnDevices / eplb.survivedOnDevices;
  const survivors = {
    case: `${name}: survivors against EPLB`,
    ours: ours.survivedOnDevices * 100,
    baseline: eplb.survivedOnDevices * 100,
    unit: '% of tokens',
    ratio,
    bar: 1,
    ok: ratio > 1,
  };
  return fixed.balanceMean > UNEVEN ? [balance, survivors] : [survivors];
}
