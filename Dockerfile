# docker build -t xprompt . && docker run -p 8000:8000 -v xprompts:/data -e XPROMPT_API_KEY=… xprompt
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY . .
RUN npm ci && npm run build:studio && npm prune --omit=dev
# For /mcp: an optional package.
RUN npm install --prefix /optional --ignore-scripts @modelcontextprotocol/server@2.4.0 \
  && cp -rn /optional/node_modules/. node_modules/

FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/bin ./bin
COPY --from=build /app/dist ./dist
COPY --from=build /app/models ./models
COPY --from=build /app/examples ./examples
COPY --from=build /app/node_modules ./node_modules
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8000/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
# A key is needed: outside of this machine a server without one is open to all who reach the port.
CMD ["node", "bin/xprompt.js", "serve", "--host", "0.0.0.0", "--port", "8000", "--xprompts", "/data"]
