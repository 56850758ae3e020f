import { de } from './de.ts'
import { en, type Texts } from './en.ts'

/** The texts of the hosted pages and of the banner: one catalogue per language. To add a language, add a file here. */
export const catalogue = { en, de } satisfies Record<string, Texts>

export type Language = keyof typeof catalogue
export type { Texts }

/**
 * Returns the best language for a browser.
 * @param accepted the Accept-Language header
 * @param offered at least one language; the first is the default if the browser accepts none of them
 * @example chooseLanguage('fr, de-AT;q=0.8, en;q=0.5', ['en', 'de']) // 'de'
 */
export function chooseLanguage(accepted: string | undefined, offered: readonly [Language, ...Language[]]): Language {
  let best: { language: Language; quality: number } = { language: offered[0], quality: 0 }
  for (const range of (accepted ?? '').slice(0, 1_000).split(',')) {
    const [tag = '', ...parameters] = range.split(';').map(part => part.trim().toLowerCase())
    const given = parameters.find(parameter => parameter.startsWith('q='))
    const quality = given === undefined ? 1 : Number(given.slice(2))
    const language = tag === '*' ? offered[0] : offered.find(each => each === tag.split('-')[0])
    if (language !== undefined && quality > best.quality) best = { language, quality }
  }
  return best.language
}
