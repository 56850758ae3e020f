import { checkScreens } from './console-states.ts'

checkScreens('narrow', { width: 390, height: 844 })
