// Before any spec: the user interface is built if it is older than its sources, however Playwright was started. Specs would wait for what an old one lacks.
import { rendererStep } from '../../main/setup/bundles.mjs';
import { performSteps } from '../../main/setup/steps.mjs';

export default (): Promise<void> => performSteps([rendererStep], { quiet: true });
