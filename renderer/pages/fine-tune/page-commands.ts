import { Columns2, Plus } from 'lucide-react';
import { useMemo } from 'react';
import { navigate } from '../../shell/navigation.ts';
import { useCommands } from '../../stores/index.tsx';

export const NEW_RUN_KEYS = 'mod+shift+u';
export const openNewRun = () => navigate('fine-tune', ['new']);

/** What is in the palette on every part of the page. */
export function usePageCommands(): void {
  useCommands(
    useMemo(
      () => [
        { id: 'tune.new', title: 'New fine-tuning run', group: 'Fine-tune', icon: Plus, keys: NEW_RUN_KEYS, words: 'train lora', run: openNewRun },
        {
          id: 'tune.compare',
          title: 'Compare fine-tuning runs',
          group: 'Fine-tune',
          icon: Columns2,
          words: 'loss curves',
          run: () => navigate('fine-tune', ['compare']),
        },
      ],
      [],
    ),
  );
}
