// The status item of svstorage in JupyterLab. It is written by hand as what JupyterLab loads (a
// module federation container), so that there is nothing to build and this file is the source.
(function () {
  'use strict';

  const NAME = 'svstorage-status';
  const POLL_MS = 3000;
  const HIDDEN_POLL_MS = 15000;
  const LOOKS = {
    'in step': ['●', 'var(--jp-success-color1)'],
    syncing: ['↻', 'var(--jp-brand-color1)'],
    offline: ['○', 'var(--jp-error-color1)'],
    conflict: ['▲', 'var(--jp-warn-color1)'],
    problem: ['▲', 'var(--jp-warn-color1)'],
    stopped: ['○', 'var(--jp-error-color1)']
  };
  const MOST_SHOWN = 100;
  const ADVICE = {
    offline:
      'The storage cannot be reached. Work goes on: it is asked again by itself, and what is saved ' +
      'meanwhile is sent when it is back.',
    conflict:
      'To settle a conflict, take over what you need from one version and delete the one beside it.'
  };
  let shareScope;

  // A module that JupyterLab itself has loaded; never one of our own.
  async function shared(name) {
    const versions = shareScope && shareScope[name];
    if (!versions) {
      throw new Error(`${NAME}: JupyterLab does not share ${name}`);
    }
    const loaded = Object.values(versions).find(one => one.loaded);
    const factory = await (loaded || Object.values(versions)[0]).get();
    return factory();
  }

  function element(tag, text, parent, className) {
    const node = document.createElement(tag);
    if (text) {
      node.textContent = text; // never innerHTML: file names are other people's words
    }
    if (className) {
      node.className = className;
    }
    if (parent) {
      parent.appendChild(node);
    }
    return node;
  }

  // Names may be long: a link of text wraps where a button of Jupyter's would not.
  const LINK =
    'display:inline;background:none;border:none;padding:0;font:inherit;letter-spacing:normal;' +
    'text-align:left;overflow-wrap:anywhere;cursor:pointer;color:var(--jp-content-link-color)';

  function small(node) {
    node.style.cssText =
      'margin:2px 0 8px;color:var(--jp-ui-font-color2);font-size:var(--jp-ui-font-size0);' +
      'overflow-wrap:anywhere';
    return node;
  }

  function signed(node, state) {
    const [sign, color] = LOOKS[state] || ['○', 'inherit'];
    node.textContent = sign + ' ';
    node.style.color = color;
  }

  class Server {
    constructor(connection, settings) {
      this.connection = connection;
      this.settings = settings;
    }

    async ask(path, method) {
      const url = this.settings.baseUrl.replace(/\/?$/, '/') + 'svstorage/' + path;
      const answer = await this.connection.makeRequest(url, { method }, this.settings);
      const body = await answer.json();
      return { ok: answer.ok, body };
    }
  }

  // What the dialog shows: the state, then a list for each kind of thing that needs a look.
  function details(status, open) {
    const body = element('div', '', null, 'svstorage-details');
    body.style.maxWidth = '60em';
    const head = element('p', '', body);
    signed(element('span', '', head), status.state);
    element('strong', status.state, head);
    if (status.message) {
      element('span', ` – ${status.message}`, head);
    }
    if (ADVICE[status.state]) {
      element('p', ADVICE[status.state], body);
    }
    if (status.target) {
      small(element('p', `${status.folder} ↔ ${status.target}`, body));
    }
    if (status.last_pass) {
      const when = new Date(status.last_pass * 1000).toLocaleTimeString();
      small(element('p', `last compared at ${when}, ${status.in_step} in step`, body));
    }
    const list = (title, rows) => {
      if (!rows.length) {
        return;
      }
      element('h3', `${title} (${rows.length})`, body);
      const items = element('ul', '', body);
      items.style.cssText = 'margin:0;padding-left:1.5em';
      for (const [text, note, path] of rows.slice(0, MOST_SHOWN)) {
        const row = element('li', '', items);
        if (path) {
          const link = element('button', text, row, 'svstorage-open');
          link.style.cssText = LINK;
          link.title = 'Open';
          link.onclick = () => open(path);
        } else {
          element('span', text, row);
        }
        if (note) {
          small(element('div', note, row));
        }
      }
      if (rows.length > MOST_SHOWN) {
        element('li', `… and ${rows.length - MOST_SHOWN} more`, items);
      }
    };
    list(
      'Conflicts: both versions were kept',
      status.conflicts.map(one => [one.key, `beside ${one.original}; changed at ${one.host}`, one.key])
    );
    list('Not in the storage yet', status.pending.map(key => [key, '', key]));
    list('Left out', Object.entries(status.problems));
    list('Waiting for a word', status.held.map(text => [text, '']));
    return body;
  }

  async function plugin() {
    const [{ IStatusBar }, { Widget }, { Signal }, { ServerConnection }, apputils] = await Promise.all([
      shared('@jupyterlab/statusbar'),
      shared('@lumino/widgets'),
      shared('@lumino/signaling'),
      shared('@jupyterlab/services'),
      shared('@jupyterlab/apputils')
    ]);

    function activate(app, statusBar) {
      if (!statusBar) {
        return;
      }
      const server = new Server(ServerConnection, app.serviceManager.serverSettings);
      const item = new Widget();
      item.addClass('svstorage-status');
      const button = element('button', '', item.node, 'jp-StatusBar-TextItem');
      button.style.cssText =
        'background:none;border:none;padding:0;color:inherit;font:inherit;cursor:pointer;line-height:23px';
      const mark = element('span', '', button);
      const text = element('span', '', button);
      let status = { state: 'off' };
      const isActive = () => status.state !== 'off' && status.state !== 'never';
      const activeStateChanged = new Signal(item);

      const show = () => {
        signed(mark, status.state);
        const count = status.conflicts ? status.conflicts.length : 0;
        text.textContent = `Storage: ${status.state}${count ? ` (${count})` : ''}`;
        button.title = status.message || '';
        button.setAttribute('aria-label', `${text.textContent}. ${button.title}`);
        activeStateChanged.emit();
      };

      const look = async () => {
        try {
          const answer = await server.ask('status', 'GET');
          if (answer.ok) {
            status = answer.body;
          }
        } catch (error) {
          status = { ...status, state: 'offline', message: 'the Jupyter server does not answer' };
        }
        show();
      };

      const again = async () => {
        await look();
        window.setTimeout(again, document.hidden ? HIDDEN_POLL_MS : POLL_MS);
      };

      button.onclick = async () => {
        await look();
        let dialog;
        const open = path => {
          dialog.dispose();
          app.commands.execute('docmanager:open', { path });
        };
        const empty = { conflicts: [], pending: [], problems: {}, held: [] };
        dialog = new apputils.Dialog({
          title: 'Notebook files and the storage',
          body: new Widget({ node: details({ ...empty, ...status }, open) }),
          buttons: [
            apputils.Dialog.cancelButton({ label: 'Close' }),
            apputils.Dialog.okButton({ label: 'Sync now' })
          ]
        });
        const result = await dialog.launch().catch(() => null);
        if (result && result.button.accept) {
          await server.ask('sync', 'POST');
          await look();
        }
      };

      statusBar.registerStatusItem(`${NAME}:item`, {
        item,
        align: 'left',
        rank: 90,
        isActive,
        activeStateChanged
      });
      again();
    }

    return {
      id: `${NAME}:plugin`,
      description: 'Shows how the notebook folder and the storage stand.',
      autoStart: true,
      optional: [IStatusBar],
      activate
    };
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB[NAME] = {
    init: scope => {
      shareScope = scope;
    },
    get: async module => {
      if (module !== './extension') {
        throw new Error(`${NAME}: there is no ${module}`);
      }
      const one = await plugin();
      return () => ({ __esModule: true, default: one });
    }
  };
})();
