/**
 * A file that the browser saves, as its own downloads.
 */

/** @param pieces - of the text, one after the other */
export function saveFile(name: string, pieces: readonly string[], type: string): void {
  const url = URL.createObjectURL(new Blob([...pieces], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  // Firefox follows only what is in the document.
  document.body.appendChild(link);
  link.click();
  link.remove();
  // The browser has begun to read it by then; without this it is kept until the page is closed.
  setTimeout(() => URL.revokeObjectURL(url), 0);
}
