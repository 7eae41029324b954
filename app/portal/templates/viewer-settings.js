// The settings of OHIF (window.config), and the two things that its own page would define.
(() => {
  "use strict";
  const home = {{ origin | tojson }};
  // Links in DICOMweb answers, and the session, belong to one address: whoever came by another name goes there.
  if (location.origin !== home) location.replace(home + location.pathname + location.search);
  const base = document.currentScript.dataset.base;
  const root = home + "/dicom-web";

  window.PUBLIC_URL = base;
  // OHIF asks for the whole-slide library by its place at the root of a host.
  window.browserImportFunction = (name) => import(name.startsWith("/") ? base + name.slice(1) : name);

  window.config = {
    routerBasename: "/viewer",
    extensions: [],
    modes: [],
    customizationService: {},
    showStudyList: true,
    maxNumberOfWebWorkers: 3,
    showWarningMessageForCrossOrigin: true,
    showCPUFallbackMessage: true,
    showLoadingIndicator: true,
    strictZSpacingForVolumeViewport: true,
    groupEnabledModesFirst: true,
    maxNumRequests: { interaction: 20, thumbnail: 5, prefetch: 10 },
    // What goes wrong is shown without its inner workings, which may quote what was loaded.
    showErrorDetails: "production",
    investigationalUseDialog: { option: "configure", days: 30 },
    whiteLabeling: {
      createLogoComponentFn: (React) =>
        React.createElement("a", { href: "/", className: "text-foreground text-lg font-semibold" }, "Consentry"),
    },
    defaultDataSourceName: "consentry",
    dataSources: [
      {
        namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
        sourceName: "consentry",
        configuration: {
          friendlyName: "Consentry",
          name: "consentry",
          qidoRoot: root,
          wadoRoot: root,
          wadoUriRoot: home + "/wado",
          qidoSupportsIncludeField: true,
          supportsFuzzyMatching: false,
          supportsWildcard: true,
          supportsReject: false,
          dicomUploadEnabled: false,
          staticWado: false,
          imageRendering: "wadors",
          thumbnailRendering: "wadors",
          enableStudyLazyLoad: true,
          singlepart: "bulkdata,video",
          bulkDataURI: { enabled: true },
          omitQuotationForMultipartRequest: true,
        },
      },
    ],
    // A session that ended, here or by signing out in another window.
    httpErrorHandler: (error) => {
      if (error.status === 401) {
        location.assign("/signin?next=" + encodeURIComponent(location.pathname + location.search));
      }
    },
  };
})();
