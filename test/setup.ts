/** @file Settings of the developer's environment do not reach the tests. */

/** Where CI has the S3 server of the tests. */
const kept = "XPROMPT_MOTO_SERVER";
for (const name of Object.keys(process.env))
  if (name.startsWith("XPROMPT_") && name !== kept) delete process.env[name];
