// The figures of a run as they are drawn: what the core has kept, and what has happened since.
import type { MetricPoint, RunEvent, RunMetrics } from '../../../../main/contract/index.ts';

type Step = Extract<RunEvent, { event: 'step' }>;
type Column = (number | null)[];
/** what training and validation tell alike */
type Judged = Pick<MetricPoint, 'loss' | 'preference'>;

export class RunHistory {
  data: RunMetrics['data'] = null;
  points: MetricPoint[] = [];
  validations: RunMetrics['validations'] = [];
  interventions: RunMetrics['interventions'] = [];
  expertTokens: RunMetrics['expertTokens'] = null;
  movement: RunMetrics['movement'] = null;

  /** What the core knew when it answered; steps that were told meanwhile stay. */
  take({ data, points, validations, interventions, expertTokens, movement }: RunMetrics): void {
    this.data = data ?? this.data;
    const last = points.at(-1)?.step ?? 0;
    this.points = [...points, ...this.points.filter(({ step }) => step > last)];
    const known = new Set(validations.map(({ step }) => step));
    this.validations = [...validations, ...this.validations.filter(({ step }) => !known.has(step))].sort((a, b) => a.step - b.step);
    this.interventions = interventions;
    this.expertTokens = expertTokens ?? this.expertTokens;
    this.movement = movement ?? this.movement;
  }

  add(event: RunEvent): void {
    if (event.event === 'data') this.data = event;
    if (event.event === 'opened') this.#dropBehind(event.step);
    if (event.event === 'step') this.#addStep(event);
    if (event.event === 'movement') this.movement = event;
    if (event.event === 'validation') {
      const others = this.validations.filter(({ step }) => step < event.step);
      const { event: _, seconds: __, preference = null, ...figures } = event;
      this.validations = [...others, { ...figures, preference }];
    }
  }

  #addStep(event: Step): void {
    this.#dropBehind(event.step - 1);
    this.points.push(pointOf(event));
    const { action, reason } = event.guardian;
    if (reason !== '') this.interventions = [...this.interventions, { step: event.step, action, reason }];
    const total = this.expertTokens?.total ?? [];
    this.expertTokens = {
      total: event.expertTokens.map((row, layer) => row.map((tokens, expert) => tokens + (total[layer]?.[expert] ?? 0))),
      last: event.expertTokens,
    };
  }

  /** A run that goes on from a checkpoint does the steps behind it again. */
  #dropBehind(step: number): void {
    if ((this.points.at(-1)?.step ?? 0) > step) this.points = this.points.filter((point) => point.step <= step);
  }

  /** steps, of training, of validation: the steps of both */
  columnsOfBoth(of: (figures: Judged) => number | null | undefined): [number[], Column, Column] {
    const trained = new Map(this.points.map((point) => [point.step, of(point)]));
    const validated = new Map(this.validations.map((validation) => [validation.step, of(validation)]));
    const steps = [...new Set([...trained.keys(), ...validated.keys()])].sort((a, b) => a - b);
    return [steps, steps.map((step) => trained.get(step) ?? null), steps.map((step) => validated.get(step) ?? null)];
  }

  /** It learns from preference pairs. */
  get isOfPairs(): boolean {
    return (this.points.at(-1) ?? this.validations.at(-1))?.preference != null;
  }

  /** Numbers of experts of a token that validation was done with, ascending; empty: it was not asked for. */
  get usedCounts(): number[] {
    return this.validations.at(-1)?.byExpertUsedCount?.map(({ expertUsedCount }) => expertUsedCount) ?? [];
  }

  /** steps of validation, then the loss with each of these numbers of experts */
  usedCountColumns(counts: readonly number[]): [number[], ...Column[]] {
    const lossWith = (count: number) =>
      this.validations.map(({ byExpertUsedCount }) => byExpertUsedCount?.find((each) => each.expertUsedCount === count)?.loss ?? null);
    return [this.validations.map(({ step }) => step), ...counts.map(lossWith)];
  }

  /** steps, rewards of chosen and of rejected answers */
  rewardColumns(): [number[], Column, Column] {
    const column = (key: 'chosenReward' | 'rejectedReward') => this.points.map(({ preference }) => preference?.[key] ?? null);
    return [this.points.map(({ step }) => step), column('chosenReward'), column('rejectedReward')];
  }

  /** steps, then a column for each key */
  columns(keys: readonly ('learningRate' | 'gradientNorm' | 'tokensPerSecond' | 'memoryBytes' | 'balanceLoss' | 'zLoss')[]): [number[], ...Column[]] {
    return [this.points.map(({ step }) => step), ...keys.map((key) => this.points.map((point) => point[key]))];
  }
}

function pointOf({ step, loss, balanceLoss, zLoss, learningRate, gradientNorm, tokens, seconds, memoryBytes, preference }: Step): MetricPoint {
  const tokensPerSecond = seconds > 0 ? tokens / seconds : 0;
  return {
    step,
    steps: 1,
    loss,
    lossLeast: loss,
    lossMost: loss,
    balanceLoss,
    zLoss,
    learningRate,
    gradientNorm,
    tokensPerSecond,
    memoryBytes,
    preference: preference ?? null,
  };
}
