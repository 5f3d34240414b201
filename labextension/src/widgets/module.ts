/**
 * The module that contains the widgets, as a notebook names it: this package and its version.
 */
import pack from '../../package.json';

export const MODULE_NAME = pack.name;
export const MODULE_VERSION = pack.version;
