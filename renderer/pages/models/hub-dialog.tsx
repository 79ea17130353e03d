// Search the hub, choose a file, download it.
import { ArrowLeft, Download, Search } from 'lucide-react';
import { type FormEvent, useState } from 'react';
import { type ErrorBody, type HubRepository, type Result, toErrorBody } from '../../../main/contract/index.ts';
import { Badge, Button, Dialog, ErrorNotice, format, IconButton, TextInput } from '../../components/index.ts';
import { errorHelp } from '../../stores/error-help.ts';
import { useSettings, useStores } from '../../stores/index.tsx';
import style from './models.module.css';

type Files = Result<'hub.files'>;
type Work = { repositories: HubRepository[] | null; chosen: HubRepository | null; files: Files | null; error: ErrorBody | null; busy: boolean };
const nothing: Work = { repositories: null, chosen: null, files: null, error: null, busy: false };

export function HubDialog({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const stores = useStores();
  const hubUrl = useSettings((state) => state.settings?.hubUrl);
  const [work, setWork] = useState<Work>(nothing);
  const run = async (change: Partial<Work>, fetch: () => Promise<Partial<Work>>) => {
    setWork((before) => ({ ...before, ...change, error: null, busy: true }));
    const result = await fetch().catch((thrown: unknown): Partial<Work> => ({ error: toErrorBody(thrown) }));
    setWork((before) => ({ ...before, ...result, busy: false }));
  };
  const search = (query: string) => void run({ chosen: null, files: null }, async () => ({ repositories: await stores.client.call('hub.search', { query }) }));
  const choose = (chosen: HubRepository) =>
    void run({ chosen, files: null }, async () => ({ files: await stores.client.call('hub.files', { repository: chosen.repository }) }));
  const download = (file: string) => {
    if (!work.chosen) return;
    onOpenChange(false);
    stores.client.call('downloads.start', { repository: work.chosen.repository, file }).catch((error: unknown) => stores.notices.getState().error(error));
  };
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title="Find models"
      width="large"
      description={`GGUF repositories of ${hubUrl ?? 'the hub'}; a mirror can be set in Settings.`}
    >
      <SearchForm busy={work.busy} onSearch={search} />
      {work.error && <ErrorNotice error={work.error} advice={errorHelp(work.error, stores).advice} />}
      {work.chosen ? (
        <FileList
          repository={work.chosen}
          files={work.files}
          onBack={() => setWork((before) => ({ ...before, chosen: null, files: null }))}
          onDownload={download}
        />
      ) : (
        work.repositories && <RepositoryList repositories={work.repositories} onChoose={choose} />
      )}
    </Dialog>
  );
}

function SearchForm({ busy, onSearch }: { busy: boolean; onSearch: (query: string) => void }) {
  const [query, setQuery] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSearch(query.trim());
  };
  return (
    <form className={style.search} onSubmit={submit}>
      <TextInput
        aria-label="Search the hub"
        placeholder="Qwen3 30B A3B, OLMoE, Mixtral, …"
        value={query}
        onChange={(event) => setQuery(event.target.value)}
        autoFocus
      />
      <Button submit icon={Search} busy={busy}>
        Search
      </Button>
    </form>
  );
}

function RepositoryList({ repositories, onChoose }: { repositories: HubRepository[]; onChoose: (repository: HubRepository) => void }) {
  if (repositories.length === 0) return <p className={style.note}>No repository with GGUF files matches. Fewer words find more.</p>;
  return (
    <ul className={style.hits} aria-label="Repositories">
      {repositories.map((repository) => (
        <li key={repository.repository}>
          <button type="button" className={style.hit} onClick={() => onChoose(repository)}>
            <strong>{repository.repository}</strong>
            {repository.gated && (
              <Badge tone="warn" title="Its owner grants access: start Moebius with your token in the environment variable HF_TOKEN">
                needs a token
              </Badge>
            )}
            <span className={style.note}>
              {format.count(repository.downloads)} downloads · {format.count(repository.likes)} likes{repository.license ? ` · ${repository.license}` : ''}
            </span>
          </button>
        </li>
      ))}
    </ul>
  );
}

function FileList({
  repository,
  files,
  onBack,
  onDownload,
}: {
  repository: HubRepository;
  files: Files | null;
  onBack: () => void;
  onDownload: (file: string) => void;
}) {
  return (
    <section aria-label={`Files of ${repository.repository}`}>
      <div className={style.search}>
        <IconButton label="Back to the repositories" icon={ArrowLeft} onClick={onBack} />
        <strong>{repository.repository}</strong>
      </div>
      {files?.length === 0 && <p className={style.note}>There is no GGUF file in this repository.</p>}
      <ul className={style.hits}>
        {files?.map((file) => (
          <li key={file.path} className={style.file}>
            <span className={style.value}>{file.path}</span>
            <span className={style.note}>
              {format.bytes(file.bytes)}
              {file.parts > 1 && ` in ${file.parts} parts`}
            </span>
            <Button size="small" icon={Download} onClick={() => onDownload(file.path)}>
              Download
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}
