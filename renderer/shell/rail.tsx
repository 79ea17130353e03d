import { Command as CommandSign } from 'lucide-react';
import { ariaKeys, classes, Tooltip } from '../components/index.ts';
import { type Page, pages } from '../pages/registry.ts';
import { address, useLocation } from './navigation.ts';
import style from './rail.module.css';

export function Rail({ onPalette }: { onPalette: () => void }) {
  const { page: current } = useLocation();
  const item = (page: Page) => <RailLink key={page.id} page={page} current={page.id === current} />;
  return (
    <nav className={style.rail} aria-label="Pages">
      <div className={style.mark} aria-hidden>
        <svg viewBox="0 0 32 20" width="30" height="19" aria-hidden="true">
          <path
            d="M16 10c-2.6-4-5-6.2-8-6.2a6.2 6.2 0 0 0 0 12.4c3 0 5.4-2.2 8-6.2s5-6.2 8-6.2a6.2 6.2 0 0 1 0 12.4c-3 0-5.4-2.2-8-6.2z"
            fill="none"
            stroke="currentColor"
            strokeWidth="2.4"
          />
        </svg>
      </div>
      <ul className={style.list}>{pages.filter((page) => !page.foot).map(item)}</ul>
      <ul className={classes(style.list, style.foot)}>
        <li>
          <Tooltip content="Command palette" keys="mod+k" side="right">
            <button type="button" className={style.link} onClick={onPalette} aria-keyshortcuts={ariaKeys('mod+k')}>
              <CommandSign size={18} strokeWidth={1.7} aria-hidden />
              <span>Search</span>
            </button>
          </Tooltip>
        </li>
        {pages.filter((page) => page.foot).map(item)}
      </ul>
    </nav>
  );
}

function RailLink({ page, current }: { page: Page; current: boolean }) {
  return (
    <li>
      <Tooltip content={page.title} keys={page.keys} side="right">
        <a className={style.link} href={address(page.id)} aria-current={current ? 'page' : undefined} aria-keyshortcuts={ariaKeys(page.keys)}>
          <page.icon size={19} strokeWidth={1.7} aria-hidden />
          <span>{page.title}</span>
        </a>
      </Tooltip>
    </li>
  );
}
