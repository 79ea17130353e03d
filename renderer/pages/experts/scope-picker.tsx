// Which counters are shown: a loaded model's, or one conversation's.
import { useMemo } from 'react';
import type { ModelCard, UsageScope } from '../../../main/contract/index.ts';
import { Select } from '../../components/index.ts';
import { useChats, useModels } from '../../stores/index.tsx';

export interface ScopeChoice {
  scope: UsageScope;
  /** block index of every row, where the model is known */
  moeLayers: readonly number[];
  expertUsedCount: number;
  title: string;
}

/** All scopes that can be shown: loaded models first, then conversations that have a model. */
export function useScopes(): ScopeChoice[] {
  const models = useModels((state) => state.models);
  const chats = useChats((state) => state.chats);
  return useMemo(() => {
    const known = new Map((models ?? []).map((card) => [card.id, card]));
    const loaded = (models ?? []).filter((card) => card.state.state === 'loaded' && (card.inspection?.expertCount ?? 0) > 0);
    const ofModels = loaded.map((card) => choice({ kind: 'model', id: card.id }, card, card.name));
    const ofChats = (chats ?? []).map((chat) => choice({ kind: 'chat', id: chat.id }, chat.modelId === null ? undefined : known.get(chat.modelId), chat.title));
    return [...ofModels, ...ofChats];
  }, [models, chats]);
}

function choice(scope: UsageScope, card: ModelCard | undefined, title: string): ScopeChoice {
  return { scope, title, moeLayers: card?.inspection?.moeLayers ?? [], expertUsedCount: card?.inspection?.expertUsedCount ?? 0 };
}

export const scopeValue = (scope: UsageScope): string => `${scope.kind}:${scope.id}`;

interface ScopePickerProps {
  label: string;
  scopes: readonly ScopeChoice[];
  value: string | undefined;
  onChange: (value: string) => void;
}

export function ScopePicker({ label, scopes, value, onChange }: ScopePickerProps) {
  const options = scopes.map(({ scope, title }) => ({
    value: scopeValue(scope),
    label: title,
    hint: scope.kind === 'model' ? 'model, since it was loaded' : 'conversation',
  }));
  return <Select<string> aria-label={label} value={value} onChange={onChange} options={options} placeholder="Choose" />;
}
