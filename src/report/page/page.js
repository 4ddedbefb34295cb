// Search and filter of the sample conversations. Without scripts, all of them are shown and the controls stay hidden.
(() => {
  const controls = document.querySelector('.filter');
  if (!controls) return;
  const samples = Array.from(document.querySelectorAll('.sample'));
  const [text, source, why] = controls.querySelectorAll('input, select');
  const count = controls.querySelector('output');
  const update = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const sample of samples) {
      const content = sample.textContent.toLowerCase();
      const isShown = words.every((word) => content.includes(word))
        && (!source.value || sample.dataset.source === source.value)
        && (!why.value || sample.dataset.why === why.value);
      sample.hidden = !isShown;
      shown += isShown ? 1 : 0;
    }
    count.textContent = `${shown} of ${samples.length} shown`;
  };
  controls.addEventListener('input', update);
  controls.hidden = false;
  update();
})();
