/**
 * The module that the widgets are in, as a notebook names it: this package, in its version.
 */
import pack from '../../package.json';

export const MODULE_NAME = pack.name;
export const MODULE_VERSION = pack.version;
