-- What the first steps read: a small shop's orders, the same rows each time.
CREATE TABLE orders (
    id integer PRIMARY KEY,
    ordered_on date NOT NULL,
    customer text NOT NULL,
    product text NOT NULL,
    quantity integer NOT NULL,
    price numeric(8, 2) NOT NULL
);

-- Whoever may log in to the shop may read it, whatever role made the table.
GRANT SELECT ON orders TO PUBLIC;

INSERT INTO orders VALUES
    (1, '2026-01-05', 'Aino', 'Tea pot', 1, 34.00),
    (2, '2026-01-05', 'Bruno', 'Cup', 4, 6.50),
    (3, '2026-01-19', 'Chidi', 'Green tea, 100 g', 2, 8.20),
    (4, '2026-02-02', 'Aino', 'Cup', 2, 6.50),
    (5, '2026-02-11', 'Dolores', 'Tea pot', 1, 34.00),
    (6, '2026-02-27', 'Emre', 'Black tea, 250 g', 3, 12.90),
    (7, '2026-03-03', 'Bruno', 'Strainer', 1, 4.75),
    (8, '2026-03-16', 'Chidi', 'Black tea, 250 g', 1, 12.90);
