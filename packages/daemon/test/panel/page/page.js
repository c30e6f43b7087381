document.title = 'Lit';
