-- Records of the index say of which kind they are, in a byte in front. All that were held so far are account records: kind 0.
UPDATE index_records SET record = CAST(x'00' || record AS BLOB);
