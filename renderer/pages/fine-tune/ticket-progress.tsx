import { Button, format, ProgressBar } from '../../components/index.ts';
import style from './fine-tune.module.css';
import type { Ticket } from './use-ticket.ts';

/** What a long call does, how far it is, and the way out. */
export function TicketProgress({ ticket: { fraction, cancel }, what }: { ticket: Ticket; what: string }) {
  if (fraction === null) return null;
  const text = fraction > 0 ? `${what}, ${format.percent(fraction)}` : what;
  return (
    <div className={style.ticket}>
      <ProgressBar label={what} fraction={fraction > 0 ? fraction : undefined} text={text} />
      <span>{text}</span>
      <Button size="small" onClick={cancel}>
        Cancel
      </Button>
    </div>
  );
}
