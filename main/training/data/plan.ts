// Before a file is read as a whole: how its rows are to be understood, as the user says, or as they look.
import { DatasetFormat, type FieldMap, formatFields } from '../../contract/datasets.ts';
import { MoebiusError } from '../../contract/errors.ts';
import { DETECTION_ROWS, type Detection, detectFormat, type Unsure } from './formats/detect.ts';
import { type DataFile, openDataFile } from './readers/open.ts';
import type { Row } from './readers/row.ts';

export interface FileFormat {
  format: DatasetFormat;
  map: FieldMap;
  /** null: the format was given */
  confidence: number | null;
  why: string;
}

export interface Wish {
  format?: DatasetFormat;
  map?: FieldMap;
}

export interface PlannedFile extends FileFormat {
  data: DataFile;
}

/** Throws file.not-found, file.unreadable, request.invalid, dataset.format-unsure; dataset.no-good-row of an empty file. */
export async function planFile(path: string, wish: Wish): Promise<PlannedFile> {
  const data = await openDataFile(path);
  const rows = await firstRows(data, DETECTION_ROWS);
  if (rows.length === 0) throw new MoebiusError('dataset.no-good-row', `${path} is empty: there are no rows in it.`, { details: { path } });
  return { data, ...chooseFormat(path, wish, detectFormat(rows), data) };
}

async function firstRows(data: DataFile, most: number): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const batch of data.rows()) {
    rows.push(...batch);
    if (rows.length >= most) break;
  }
  return rows.slice(0, most);
}

function chooseFormat(path: string, wish: Wish, detection: Detection, data: DataFile): FileFormat {
  if (data.kind === 'text') return formatOfText(path, wish);
  const format = wish.format ?? formatOfMap(wish.map, detection);
  if (format !== null) return givenFormat(format, wish.map, detection);
  if (detection.format !== null) return detection;
  throw unsure(path, detection);
}

function formatOfText(path: string, { format, map }: Wish): FileFormat {
  if ((format === undefined || format === 'text') && map === undefined) {
    return { format: 'text', map: {}, confidence: null, why: 'it is a text file: a document is a run of paragraphs' };
  }
  throw new MoebiusError('request.invalid', `${path} is a text file and has no fields: no other format and no map fits.`, { details: { path } });
}

function givenFormat(format: DatasetFormat, map: FieldMap | undefined, detection: Detection): FileFormat {
  const { needed, optional } = formatFields[format];
  const unknown = Object.keys(map ?? {}).filter((field) => !needed.includes(field) && !optional.includes(field));
  if (unknown.length > 0) {
    throw new MoebiusError('request.invalid', `The format ${format} has no ${unknown.join(', ')}; it has ${[...needed, ...optional].join(', ')}.`, {
      details: { format, unknown },
    });
  }
  const found = detection.format === format ? detection.map : {};
  return { format, map: { ...found, ...map }, confidence: null, why: 'as given' };
}

/** The one format that has the fields of the map; null: there is no map. */
function formatOfMap(map: FieldMap | undefined, detection: Detection): DatasetFormat | null {
  if (map === undefined) return null;
  const formats = formatsWithFields(Object.keys(map));
  if (detection.format !== null && formats.includes(detection.format)) return detection.format;
  const [format] = formats;
  if (format !== undefined && formats.length === 1) return format;
  const which = formats.length > 1 ? `${formats.join(' and ')} have these fields` : 'no format has these fields';
  throw new MoebiusError('request.invalid', `The map names ${Object.keys(map).join(', ')}, and ${which}: name the format, too.`, { details: { map } });
}

function unsure(path: string, { fields, suggestions }: Unsure): MoebiusError {
  const seen =
    fields.length > 0 ? `its rows have ${fields.map(({ name, types }) => `${name} (${types.join(' or ')})`).join(', ')}` : 'none of its rows has named fields';
  const ways = suggestions.map(({ format, map }) => {
    const pairs = Object.entries(map).map(([field, column]) => `${field}=${column}`);
    return `--format ${format}${pairs.length > 0 ? ` --map ${pairs.join(',')}` : ''}`;
  });
  const hint = ways.length > 0 ? `It may be ${ways.join(', or ')}.` : `Name one of ${Object.keys(formatFields).join(', ')} and the columns of its fields.`;
  return new MoebiusError('dataset.format-unsure', `The format of ${path} is not clear: ${seen}. ${hint}`, { details: { path, fields, suggestions } });
}

/** The formats that have all of these fields; used where only a map is given. */
function formatsWithFields(fields: string[]): DatasetFormat[] {
  return DatasetFormat.options.filter((format) => {
    const { needed, optional } = formatFields[format];
    return fields.every((field) => needed.includes(field) || optional.includes(field)) && fields.some((field) => needed.includes(field));
  });
}
