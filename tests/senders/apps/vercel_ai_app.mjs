// The Vercel AI SDK: text, streams, tools, an object, a failure, embeddings, an agent inside a span.
import { trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { createOpenAI } from "@ai-sdk/openai";
import { embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({
    "service.name": "shop",
    "deployment.environment.name": "staging",
  }),
  spanProcessors: [
    new BatchSpanProcessor(
      new OTLPTraceExporter({ url: `${process.env.COLLECTOR_URL}/v1/traces` }),
    ),
  ],
});
provider.register();
const openai = createOpenAI({ baseURL: `${process.env.MODEL_URL}/v1`, apiKey: "sk-any" });
const chat = (model) => openai.chat(model);
const telemetry = (functionId, metadata = {}) => ({
  experimental_telemetry: { isEnabled: true, functionId, metadata },
});
const getWeather = tool({
  description: "The weather of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => `sunny in ${city}`,
});
const system = "Be brief.";

await generateText({
  model: chat("gpt-4o"), system, prompt: "What is tea?", temperature: 0.3, ...telemetry("plain"),
});
const streamed = streamText({
  model: chat("gpt-4o"), system, prompt: "What is a stream?", ...telemetry("streamed"),
});
for await (const _ of streamed.textStream);
await generateText({
  model: chat("gpt-4o"), system, prompt: "Weather in Paris and Rome?",
  tools: { get_weather: tool({ ...getWeather, execute: undefined }) }, ...telemetry("tools"),
});
await generateText({
  model: chat("gpt-4o-fail-429"), system, prompt: "What breaks?", maxRetries: 0,
  ...telemetry("broken"),
}).catch(() => {});
await generateText({
  model: chat("o4-mini"), prompt: "Why is the sky blue?", ...telemetry("thinking"),
});
await generateText({
  model: chat("gpt-4o"), system: "Tea is good. ".repeat(300), prompt: "And coffee?",
  ...telemetry("cached"),
});
await embedMany({
  model: openai.embedding("text-embedding-3-small"), values: ["tea", "coffee"],
  ...telemetry("embeddings"),
});
await generateText({
  model: chat("gpt-4o"), prompt: "A city, please: Paris",
  output: Output.object({ schema: z.object({ city: z.string() }) }), ...telemetry("object"),
});
await generateText({
  model: chat("gpt-4o"),
  prompt: "Briefly: what is the weather in Paris?",
  tools: { get_weather: getWeather },
  stopWhen: stepCountIs(3),
  ...telemetry("weather-agent", { userId: "u-1", sessionId: "s-1", tags: ["beta"], plan: "pro" }),
});
await provider.shutdown();
