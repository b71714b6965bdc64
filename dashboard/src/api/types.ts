/** Wire types of the gateway, which the build makes of its API document (`openapi.json`). */

export type * from "../../types/api";
