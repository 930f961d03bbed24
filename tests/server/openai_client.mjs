// openai_client.mjs PACKAGES URL: npm's openai client, unchanged, against the server: the texts of standard input (JSON), the vectors on standard output,
// as it asks for them by default (base64) and as floats; then what an unknown model is to it.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const [packages, url] = process.argv.slice(2);
const { OpenAI } = createRequire(packages + "/package.json")("openai");
const client = new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 });
const input = JSON.parse(readFileSync(0, "utf8"));
const vectors = async (more) => (await client.embeddings.create({ model: "minilm", input, ...more })).data.map((row) => Array.from(row.embedding));
const answer = { usual: await vectors({}), floats: await vectors({ encoding_format: "float" }), models: [] };
for await (const model of client.models.list()) answer.models.push(model.id);
try {
  await client.embeddings.create({ model: "nobody", input: "a" });
} catch (problem) {
  answer.problem = [problem.constructor.name, problem.code];
}
console.log(JSON.stringify(answer));
