import { describe } from 'vitest';
import { trainingSurvives } from '../support/train-kills.ts';

describe('a training run', () => trainingSurvives(6));
