/**
 * The plugins, and what other extensions may import.
 */
import { consentPlugin } from './plugins/consent';
import { deepLinkPlugin } from './plugins/deepLink';
import { fixItPlugin } from './plugins/fixit';
import { modelsPlugin } from './plugins/models';
import { panelPlugin } from './plugins/panel';
import { widgetsPlugin } from './plugins/widgets';

export { CommandIDs, IConnvault, IConsentPrompt } from './tokens';
export type { IActivity, IConnections, IOpenQuestion, IProposals, IQuestions, IVault } from './tokens';

export default [modelsPlugin, panelPlugin, consentPlugin, fixItPlugin, widgetsPlugin, deepLinkPlugin];
