/** Which categories of reasons a policy compares with, for those who choose one. */

const COMPARISON = /reason\s*\.\s*category\s*==\s*"((?:[^"\\]|\\.){1,64})"/g
const LIST = /\[([^\]]{1,4000})\]\s*\.\s*contains\s*\(\s*context\s*\.\s*reason\s*\.\s*category\s*\)/g
const TEXT = /"((?:[^"\\]|\\.){1,64})"/g

/**
 * Returns the categories that the text of a policy compares the reason's category with. Some may be missing: it searches
 * the text, and decides nothing.
 * @example reasonCategories('… when { context.reason.category == "incident" };') // ['incident']
 */
export function reasonCategories(text: string): string[] {
  const code = text.replace(/^\s*\/\/.*$/gm, '')
  const listed = [...code.matchAll(LIST)].flatMap(([, list = '']) => [...list.matchAll(TEXT)])
  const found = [...code.matchAll(COMPARISON), ...listed].map(([, category = '']) => category)
  // What CreateActorToken accepts.
  return [...new Set(found)].filter(category => /^[a-z][a-z0-9_-]{0,63}$/.test(category)).sort()
}
