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
    element('p', `${status.state}${status.message ? ': ' + status.message : ''}`, body);
    if (status.target) {
      element('p', `${status.folder} ↔ ${status.target}`, body);
    }
    const list = (title, rows) => {
      if (!rows.length) {
        return;
      }
      element('h3', `${title} (${rows.length})`, body);
      const items = element('ul', '', body);
      for (const [text, note, path] of rows.slice(0, MOST_SHOWN)) {
        const row = element('li', '', items);
        if (path) {
          const link = element('button', text, row, 'svstorage-open jp-mod-styled jp-mod-minimal');
          link.title = 'Open';
          link.onclick = () => open(path);
        } else {
          element('span', text, row);
        }
        if (note) {
          element('div', note, row);
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
    if (status.conflicts.length) {
      element(
        'p',
        'To settle a conflict, take over what you need from one version and delete the one beside it.',
        body
      );
    }
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
        'background:none;border:none;color:inherit;font:inherit;cursor:pointer;line-height:24px';
      const mark = element('span', '', button);
      const text = element('span', '', button);
      let status = { state: 'off' };
      const isActive = () => status.state !== 'off' && status.state !== 'never';
      const activeStateChanged = new Signal(item);

      const show = () => {
        const [sign, color] = LOOKS[status.state] || ['○', 'inherit'];
        mark.textContent = sign + ' ';
        mark.style.color = color;
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
