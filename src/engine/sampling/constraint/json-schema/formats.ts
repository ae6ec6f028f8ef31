/** Formats as patterns. Each takes no more than ajv-formats does, which reads what was made; a format without a pattern here is refused. */
import { type Language, languageOf } from '../language.ts';

const LEAP = '(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)';
const DATE = `(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|${LEAP}-02-29)`;
const TIME = '(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])';
const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
/** Of at most 61 characters, so that four of them and their dots stay within a host name's 253. */
const SHORT_LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,59}[A-Za-z0-9])?';
const OCTET = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const H16 = '[0-9a-fA-F]{1,4}';
const HEX = '[0-9a-fA-F]';
const UNRESERVED = "A-Za-z0-9._~!$&'()*+,;=\\-";
const PCHAR = `(?:[${UNRESERVED}:@]|%${HEX}{2})`;
const PATH = `(?:/${PCHAR}*)*`;
const TAIL = `(?:\\?(?:[${UNRESERVED}:@/?]|%${HEX}{2})*)?(?:#(?:[${UNRESERVED}:@/?]|%${HEX}{2})*)?`;
const AUTHORITY = `(?:${SHORT_LABEL})(?:\\.${SHORT_LABEL}){0,3}(?::[0-9]{1,5})?`;
const URI = `[A-Za-z][A-Za-z0-9+.-]*:(?://(?:${AUTHORITY})?${PATH}|/(?:${PCHAR}+${PATH})?|${PCHAR}+${PATH})${TAIL}`;

const PATTERNS: Record<string, string> = {
  date: DATE,
  time: TIME,
  'date-time': `${DATE}[Tt]${TIME}`,
  duration: 'P(?:[0-9]{1,9}W|[0-9]{1,9}D|[0-9]{1,9}Y(?:[0-9]{1,9}M(?:[0-9]{1,9}D)?)?(?:T(?:[0-9]{1,9}H)?)?|[0-9]{1,9}M(?:[0-9]{1,9}D)?|T[0-9]{1,9}[HMS]|T[0-9]{1,9}H[0-9]{1,9}M(?:[0-9]{1,9}S)?|T[0-9]{1,9}M[0-9]{1,9}S)',
  email: `${ATOM}(?:\\.${ATOM})*@(?:${LABEL}\\.)+${LABEL}`,
  hostname: `${SHORT_LABEL}(?:\\.${SHORT_LABEL}){0,3}`,
  ipv4: `${OCTET}(?:\\.${OCTET}){3}`,
  ipv6: `(?:(?:${H16}:){7}${H16}|::|(?:${H16}:){1,7}:|${Array.from({ length: 6 }, (_, i) => `(?:${H16}:){1,${6 - i}}(?::${H16}){1,${i + 1}}`).join('|')}|:(?::${H16}){1,7})`,
  uri: URI,
  'uri-reference': `(?:${URI}|(?:/(?:${PCHAR}+${PATH})?|[${UNRESERVED}@]+${PATH})${TAIL}|(?:#(?:[${UNRESERVED}:@/?]|%${HEX}{2})*))`,
  uuid: `${HEX}{8}-${HEX}{4}-${HEX}{4}-${HEX}{4}-${HEX}{12}`,
  'json-pointer': '(?:/(?:[^~/]|~[01])*)*',
  'relative-json-pointer': '(?:0|[1-9][0-9]*)(?:#|(?:/(?:[^~/]|~[01])*)*)',
};

const known = new Map<string, Language>();

export function formatLanguage(format: string): Language | null {
  if (!Object.hasOwn(PATTERNS, format)) return null;
  let language = known.get(format);
  if (!language) known.set(format, (language = languageOf(`^(?:${PATTERNS[format]})$`)));
  return language;
}
