// Mesa's software Vulkan device as GPUs for tests: slow, and through the same code of ours and of llama.cpp as real ones.
import { existsSync } from 'node:fs';

/** The driver's manifest; undefined: it is not installed (Debian: mesa-vulkan-drivers). */
export const lavapipe = ['x86_64', 'aarch64'].map((machine) => `/usr/share/vulkan/icd.d/lvp_icd.${machine}.json`).find((path) => existsSync(path));

/** Environment in which an engine has so many logical devices, Vulkan0 and on, each with memory of its own; 0: none. */
export function lavapipeDevices(count: number): Record<string, string> {
  return {
    GGML_VK_VISIBLE_DEVICES: Array(count).fill('0').join(),
    GGML_VK_DISABLE_FUSION: '1', // Mesa 22.3 of Debian 12 crashes with it
    ...(lavapipe === undefined ? {} : { VK_DRIVER_FILES: lavapipe, VK_ICD_FILENAMES: lavapipe }),
  };
}
