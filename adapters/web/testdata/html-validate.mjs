export default {
  extends: ["html-validate:recommended", "html-validate:a11y", "html-validate:document", "html-validate:standard"],
  rules: {
    "heading-level": ["error", { minInitialRank: "h2" }], // what is wrong with a form stands above the page's heading
    "require-sri": "off", // our own files alone, under names that hold a hash of their bytes
    "long-title": "off", // for search engines' result lists; the service's French name alone takes 42 of the 70 letters
    "form-dup-name": ["error", { shared: ["radio", "checkbox", "button", "reset", "submit"] }], // the boxes of one question
    "prefer-native-element": ["error", { exclude: ["region"] }], // the design system's table regions are <div role="region">
  },
};
