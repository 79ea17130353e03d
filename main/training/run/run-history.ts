// The figures of a run, from what it wrote down: steps that were done twice count once, and long histories are told in fewer points.
import type { MetricPoint, PreferenceReport, RunEvent, RunMetrics } from '../../contract/index.ts';

type Step = Extract<RunEvent, { event: 'step' }>;
/** What of a step is kept; its expert load is added up. */
type KeptStep = Omit<Step, 'event' | 'expertTokens' | 'unmoved' | 'guardian'>;

export class RunHistory {
  #data: RunMetrics['data'] = null;
  #steps: KeptStep[] = [];
  #validations: RunMetrics['validations'] = [];
  #saved: number[] = [];
  #interventions: RunMetrics['interventions'] = [];
  #movement: RunMetrics['movement'] = null;
  #load: { total: number[][]; last: number[][] } | null = null;

  add(event: RunEvent): void {
    switch (event.event) {
      case 'opened':
        this.#forgetAfter(event.step);
        return;
      case 'step':
        this.#addStep(event);
        return;
      case 'validation': {
        const { event: _, seconds: __, preference = null, ...figures } = event;
        this.#validations = [...this.#validations.filter(({ step }) => step !== event.step), { ...figures, preference }];
        return;
      }
      case 'saved':
        this.#saved = [...this.#saved.filter((step) => step !== event.step), event.step];
        return;
      case 'movement':
        this.#movement = { step: event.step, tensors: event.tensors };
        return;
      case 'data': {
        const { event: _, ...use } = event;
        this.#data = use;
        return;
      }
      case 'preparing':
      case 'sample':
      case 'ended':
    }
  }

  /** points: at most so many */
  metrics(id: string, points: number): RunMetrics {
    return {
      id,
      data: this.#data,
      points: fewer(this.#steps, points),
      validations: this.#validations,
      saved: this.#saved,
      interventions: this.#interventions,
      expertTokens: this.#load,
      movement: this.#movement,
    };
  }

  hasValidation(step: number): boolean {
    return this.#validations.some((each) => each.step === step);
  }

  /** The loss on the validation part at this very step. */
  validationAt(step: number): number | null {
    return this.#validations.find((each) => each.step === step)?.loss ?? null;
  }

  /** A run that goes on from a checkpoint does the steps behind it again; the guardian may go back as well. Expert load is of all that was computed. */
  #forgetAfter(step: number): void {
    this.#steps = this.#steps.filter((each) => each.step <= step);
    this.#validations = this.#validations.filter((each) => each.step <= step);
    this.#saved = this.#saved.filter((each) => each <= step);
    this.#interventions = this.#interventions.filter((each) => each.step <= step);
  }

  #addStep({ event: _, expertTokens, unmoved: __, guardian, ...step }: Step): void {
    if ((this.#steps.at(-1)?.step ?? 0) >= step.step) this.#forgetAfter(step.step - 1);
    this.#steps.push(step);
    if (guardian.reason !== '') this.#interventions.push({ step: step.step, action: guardian.action, reason: guardian.reason });
    const total = this.#load?.total ?? [];
    this.#load = { last: expertTokens, total: expertTokens.map((layer, row) => layer.map((tokens, expert) => tokens + (total[row]?.[expert] ?? 0))) };
  }
}

/** Runs of steps of equal length, so that there are at most `most`. */
function fewer(steps: readonly KeptStep[], most: number): MetricPoint[] {
  const length = Math.max(1, Math.ceil(steps.length / most));
  const points: MetricPoint[] = [];
  for (let at = 0; at < steps.length; at += length) points.push(pointOf(steps.slice(at, at + length)));
  return points;
}

function pointOf(steps: readonly KeptStep[]): MetricPoint {
  const losses = numbers(steps, ({ loss }) => loss);
  const seconds = sum(steps.map((step) => step.seconds));
  return {
    step: steps.at(-1)?.step ?? 0,
    steps: steps.length,
    loss: mean(losses),
    lossLeast: losses.length > 0 ? Math.min(...losses) : null,
    lossMost: losses.length > 0 ? Math.max(...losses) : null,
    balanceLoss: mean(numbers(steps, ({ balanceLoss }) => balanceLoss)),
    zLoss: mean(numbers(steps, ({ zLoss }) => zLoss)),
    learningRate: steps.at(-1)?.learningRate ?? 0,
    gradientNorm: mean(numbers(steps, ({ gradientNorm }) => gradientNorm)),
    tokensPerSecond: seconds > 0 ? sum(steps.map(({ tokens }) => tokens)) / seconds : 0,
    memoryBytes: Math.max(0, ...numbers(steps, ({ memoryBytes }) => memoryBytes)) || null,
    preference: preferenceOf(steps),
  };
}

function preferenceOf(steps: readonly KeptStep[]): PreferenceReport | null {
  const reports = steps.flatMap(({ preference }) => preference ?? []);
  const meanOf = (key: keyof PreferenceReport) => mean(reports.flatMap((report) => report[key] ?? []));
  const accuracy = meanOf('accuracy');
  return accuracy === null ? null : { accuracy, margin: meanOf('margin'), chosenReward: meanOf('chosenReward'), rejectedReward: meanOf('rejectedReward') };
}

const numbers = (steps: readonly KeptStep[], of: (step: KeptStep) => number | null) => steps.flatMap((step) => of(step) ?? []);
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const mean = (values: readonly number[]) => (values.length > 0 ? sum(values) / values.length : null);
