/* nmse REFERENCE OTHER WIDTH LIMIT - compare two files of raw f32 rows, WIDTH values each.
 *
 * Prints the worst normalised mean squared error of a row, sum (a-b)^2 / sum a^2, and the number of rows;
 * exits 1 when it is above LIMIT, when the files differ in size, or when they hold no row. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	double worst = 0, limit;
	size_t width, rows = 0;
	FILE *a, *b;
	float *x, *y;

	if (argc != 5 || (width = strtoul(argv[3], NULL, 10)) == 0) {
		fprintf(stderr, "usage: nmse REFERENCE OTHER WIDTH LIMIT\n");
		return 2;
	}
	limit = strtod(argv[4], NULL);
	a = fopen(argv[1], "rb");
	b = fopen(argv[2], "rb");
	x = calloc(width, sizeof(*x));
	y = calloc(width, sizeof(*y));
	if (a == NULL || b == NULL || x == NULL || y == NULL) {
		fprintf(stderr, "nmse: cannot read '%s' and '%s'\n", argv[1], argv[2]);
		return 2;
	}
	while (fread(x, sizeof(*x), width, a) == width && fread(y, sizeof(*y), width, b) == width) {
		double num = 0, den = 0;

		for (size_t i = 0; i < width; i++) {
			num += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
			den += (double)x[i] * x[i];
		}
		if (!(num / den <= worst))
			worst = num / den;
		rows++;
	}
	printf("worst NMSE %.2e over %zu positions\n", worst, rows);
	return rows == 0 || !(worst <= limit) || fgetc(a) != EOF || fgetc(b) != EOF;
}
