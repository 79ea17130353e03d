import { expect, it } from 'vitest';
import { chartCsv } from '../../../renderer/charts/export.ts';

it('writes every place, with nothing where a column has no value', () => {
  const series = [{ label: 'step' }, { label: 'training' }, { label: 'a "b", c' }];
  const data: Parameters<typeof chartCsv>[0]['data'] = [
    [1, 2],
    [0.1234567891, null],
    [null, 3],
  ];
  expect(chartCsv({ series, data })).toBe('step,training,"a ""b"", c"\n1,0.1234567891,\n2,,3\n');
});
