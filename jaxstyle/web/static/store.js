// What survives a reload: settings, the choice of pictures, and regions.

const KEY = "jaxstyle";

export const read = () => {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
};

export const write = (part) => {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...read(), ...part }));
  } catch {
    // Full, or not allowed: the page works all the same.
  }
};

export const clear = () => localStorage.removeItem(KEY);
