// Examples as the model sees them, the tokens that it learns marked.
import { ChevronLeft, ChevronRight } from 'lucide-react';
import { useState } from 'react';
import type { DatasetReport } from '../../../../main/contract/index.ts';
import { IconButton } from '../../../components/index.ts';
import { placeText } from '../place-text.ts';
import style from './new-run.module.css';

export function Preview({ report: { preview, files } }: { report: Pick<DatasetReport, 'preview' | 'files'> }) {
  const [at, setAt] = useState(0);
  const index = Math.min(at, preview.length - 1);
  const example = preview[index];
  if (!example) return null;
  const names = example.texts.length === 2 ? ['chosen', 'rejected'] : [''];
  return (
    <figure className={style.preview}>
      <figcaption>
        <span>
          As the model sees it: {placeText(files, example)}. <mark className={style.learnt}>Marked</mark> is what it learns.
        </span>
        <span className={style.pager}>
          <IconButton label="Example before" icon={ChevronLeft} size="small" disabled={index === 0} onClick={() => setAt(index - 1)} />
          {index + 1} of {preview.length}
          <IconButton label="Next example" icon={ChevronRight} size="small" disabled={index === preview.length - 1} onClick={() => setAt(index + 1)} />
        </span>
      </figcaption>
      {example.texts.map((parts, side) => (
        <ExampleText key={names[side]} name={names[side] ?? ''} parts={parts} />
      ))}
    </figure>
  );
}

function ExampleText({ name, parts }: { name: string; parts: readonly { text: string; supervised: boolean }[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard
    <section aria-label={`Text of the example${name && `, ${name}`}`} className={style.exampleText} tabIndex={0}>
      {name && <h4>{name}</h4>}
      <pre>
        {parts.map(({ text, supervised }, index) => {
          const key = `${index} ${supervised}`;
          return supervised ? (
            <mark key={key} className={style.learnt}>
              {text}
            </mark>
          ) : (
            <span key={key}>{text}</span>
          );
        })}
      </pre>
    </section>
  );
}
