/** The engine's version, recorded with every run: raise it when the same recipe may give other bits than before. */
export const ENGINE_VERSION = '1';
