// Short notices at the edge of the window. What belongs to one thing on a page is shown there instead.
import { createStore, type StoreApi } from 'zustand/vanilla';
import { type ErrorBody, toErrorBody } from '../../main/contract/index.ts';
import type { ToastAction, ToastData } from '../components/toasts.tsx';

const LIMIT = 4;

export interface ErrorHelp {
  /** what to do */
  advice?: string | undefined;
  /** the buttons that do it */
  actions?: ToastAction[] | undefined;
}

export interface NoticesState {
  toasts: ToastData[];
  show(toast: Omit<ToastData, 'id'>): void;
  /** anything thrown; cancellations are not errors and show nothing */
  error(thrown: unknown, actions?: ToastAction[]): void;
  dismiss(id: string): void;
}

/** `help` knows what the user can do about an error. */
export function createNoticesStore(help: (error: ErrorBody) => ErrorHelp): StoreApi<NoticesState> {
  let nextId = 1;
  return createStore<NoticesState>()((set, get) => ({
    toasts: [],
    show: (toast) => {
      const others = get().toasts.filter((other) => other.title !== toast.title);
      set({ toasts: [...others, { ...toast, id: `notice-${nextId++}` }].slice(-LIMIT) });
    },
    error: (thrown, actions) => {
      const error = toErrorBody(thrown);
      if (error.code === 'cancelled') return;
      const known = help(error);
      get().show({ tone: 'bad', title: error.message, text: known.advice, actions: [...(actions ?? []), ...(known.actions ?? [])] });
    },
    dismiss: (id) => set({ toasts: get().toasts.filter((toast) => toast.id !== id) }),
  }));
}
