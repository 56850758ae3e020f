import { checkScreens } from './console-states.ts'

checkScreens('wide', { width: 1_280, height: 800 })
