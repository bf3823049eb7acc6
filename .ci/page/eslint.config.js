import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2023, sourceType: "module", globals: globals.browser },
    rules: {
      complexity: ["error", 16],
      eqeqeq: "error",
      "max-params": ["error", 8],
      "no-shadow": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-var": "error",
      "prefer-const": "error"
    }
  },
  { files: ["**/*.test.js"], languageOptions: { globals: globals.node } }
];
