// In a notebook's frame the base of all addresses is the notebook's: a link to a section would load that.
if (location.protocol === "about:") {
  addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (!link || event.defaultPrevented) return;
    event.preventDefault();
    location.hash = link.hash;
  });
}
