// How rows are understood: as they look, or as the user says, with the columns that the format's fields are.
import { useId } from 'react';
import { DatasetFormat, formatFields, type UnsureFormat } from '../../../../main/contract/index.ts';
import { Button, Field, Notice, Select, TextInput } from '../../../components/index.ts';
import { fileName } from '../place-text.ts';
import style from './new-run.module.css';
import { useRunDraft } from './run-draft.ts';

const AS_IT_LOOKS = 'as-it-looks';
const names: Record<DatasetFormat, string> = {
  alpaca: 'alpaca: instruction, input, output',
  sharegpt: 'ShareGPT: conversations',
  messages: 'OpenAI messages',
  'prompt-completion': 'prompt and completion',
  text: 'plain text',
  preference: 'preferences: chosen and rejected',
};
const options = [{ value: AS_IT_LOOKS, label: 'as the rows look' }, ...DatasetFormat.options.map((value) => ({ value, label: names[value] }))];

export function FormatFields({ unsure }: { unsure: UnsureFormat | null }) {
  const { files, format, map = {} } = useRunDraft((state) => state.draft.plan.data);
  const changeData = useRunDraft((state) => state.changeData);
  if (files.length === 0) return null;
  const choose = (value: string) => changeData({ format: DatasetFormat.safeParse(value).data, map: undefined });
  return (
    <>
      {unsure && <Unsure unsure={unsure} />}
      <div className={style.fields}>
        <Field label="Format of the rows">{(control) => <Select {...control} value={format ?? AS_IT_LOOKS} onChange={choose} options={options} />}</Field>
        {format && format !== 'text' && <Mapping format={format} map={map} columns={unsure?.fields.map(({ name }) => name) ?? []} />}
      </div>
    </>
  );
}

function Unsure({ unsure: { path, fields, suggestions } }: { unsure: UnsureFormat }) {
  const changeData = useRunDraft((state) => state.changeData);
  const seen = fields.map(({ name, types }) => `${name} (${types.join(' or ')})`).join(', ');
  const actions = suggestions.map(({ format, map }) => {
    const pairs = Object.entries(map).map(([field, column]) => `${field} is ${column}`);
    return (
      <Button key={format} size="small" onClick={() => changeData({ format, map })}>
        {[`Read as ${format}`, ...pairs].join(', ')}
      </Button>
    );
  });
  return (
    <Notice
      tone="warn"
      title={`It is not clear how ${fileName(path)} is meant`}
      actions={actions.length > 0 ? <div className={style.ways}>{actions}</div> : undefined}
    >
      {seen === '' ? 'None of its rows has named fields.' : `Its rows have ${seen}.`} Choose a format and say which columns its fields are
      {actions.length > 0 ? ', or take what is proposed' : ''}. Nothing is guessed: what is learnt from a wrong guess is wrong.
    </Notice>
  );
}

interface MappingProps {
  format: DatasetFormat;
  map: Record<string, string>;
  columns: readonly string[];
}

function Mapping({ format, map, columns }: MappingProps) {
  const changeData = useRunDraft((state) => state.changeData);
  const list = useId();
  const { needed, optional } = formatFields[format];
  const set = (field: string, column: string) => {
    const { [field]: _, ...others } = map;
    const next = column.trim() === '' ? others : { ...others, [field]: column.trim() };
    changeData({ map: Object.keys(next).length > 0 ? next : undefined });
  };
  return (
    <>
      {[...needed, ...optional].map((field) => (
        <Field key={field} label={`Column of “${field}”`} hint={needed.includes(field) ? undefined : 'may be missing'}>
          {(control) => <MappedColumn {...control} list={list} field={field} column={map[field] ?? ''} onCommit={(column) => set(field, column)} />}
        </Field>
      ))}
      <datalist id={list}>
        {columns.map((column) => (
          <option key={column} value={column} />
        ))}
      </datalist>
    </>
  );
}

interface MappedColumnProps {
  id: string;
  'aria-describedby': string | undefined;
  list: string;
  field: string;
  column: string;
  onCommit: (column: string) => void;
}

/** Taken when the field is left: each change reads the data again. */
function MappedColumn({ field, column, onCommit, ...rest }: MappedColumnProps) {
  return (
    <TextInput
      {...rest}
      key={column}
      mono
      placeholder={field}
      defaultValue={column}
      onBlur={(event) => event.target.value !== column && onCommit(event.target.value)}
      onKeyDown={(event) => event.key === 'Enter' && event.currentTarget.value !== column && onCommit(event.currentTarget.value)}
    />
  );
}
